from _gen import *  # <AUTO GENERATED>


@func_description("Show pictures of the house.")
def show_pictures(conv: Conversation):
    conv.add_attachments(
        [
            Attachment(
                content_url=f"https://pine-and-salt.example/{conv.variant_name}/view.jpg",
                content_type="image",
                title=f"The view from {conv.variant.house_name}",
                call_to_action="More pictures",
            )
        ]
    )
    conv.set_response_suggestions(["Do you have a free room?"])
    return {"utterance": "This is the view from the breakfast room."}
