from _gen import *  # <AUTO GENERATED>


def book(conv: Conversation, flow: Flow):
    count = conv.state.bike_count
    booking = {"bikes": count, "address": conv.entities.collection_address.value}
    response = conv.api.workshop.book_collection(json=booking)
    conv.exit_flow()
    if not response.ok:
        return {"utterance": "I could not book that. Please call us, and we will find a time."}
    conv.state.collection_bikes = "one bike" if count == 1 else f"{count} bikes"
    conv.state.collection_day = response.json()["day"]
    conv.write_metric("COLLECTION", count)
    if conv.caller_number:
        conv.send_sms_template(conv.caller_number, "collection")
    return {"utterance": f"Booked: we collect {conv.state.collection_bikes} on {conv.state.collection_day}."}
