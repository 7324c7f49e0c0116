from _gen import *  # <AUTO GENERATED>


@func_description("Give the customer the moving form. Call when the customer agrees to get it.")
def send_moving_form(conv: Conversation):
    conv.state.moving_form_sent = True
    conv.add_attachments(
        [
            Attachment(
                content_url="https://www.lumen-energy.example/moving",
                content_type="weblink",
                title="Moving form",
                call_to_action="Fill in the form",
            )
        ]
    )
    return {"utterance": "Here is the moving form. It takes about three minutes, and you can save it and go on later."}
