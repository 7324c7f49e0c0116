from _gen import *  # <AUTO GENERATED>
from functions.network import outage_at, outward_code


@func_description("Look up whether there is a power cut at a postcode.")
@func_parameter("postcode", "The postcode of the customer's home, such as SW1A 1AA")
def check_outage(conv: Conversation, postcode: str):
    conv.state.postcode = postcode.upper()
    conv.state.outage_checks = (conv.state.outage_checks or 0) + 1
    conv.write_metric("OUTAGE_CHECK", outward_code(postcode))
    outage = outage_at(postcode)
    if outage is None:
        conv.set_response_suggestions(["I want to speak to a person", "What are your opening hours?"])
        return {
            "utterance": f"I see no power cut at {conv.state.postcode}. Please check your fuse box first: if the "
            "main switch is off, push it back up. If that doesn't help, I can put you through to a person."
        }
    conv.add_attachments(
        [
            Attachment(
                content_url=f"https://www.lumen-energy.example/outages/{outage['map']}",
                content_type="weblink",
                title=f"Live map of the power cut ({outage['homes']:,} homes)",
                call_to_action="Open the map",
            )
        ]
    )
    conv.set_response_suggestions(["Thanks, that's all", "I want to speak to a person"])
    return {
        "utterance": f"Yes, there is a power cut at {conv.state.postcode} because of {outage['cause']}. "
        f"{outage['homes']:,} homes are without power. Our engineers expect it to be back by {outage['back_at']}."
    }
