from _gen import *  # <AUTO GENERATED>


@func_description("Look up how far a repair is.")
@func_parameter("job_number", "The job number on the repair ticket, such as CC-1234")
def repair_status(conv: Conversation, job_number: str):
    conv.state.jobs_asked = [*(conv.state.jobs_asked or []), job_number]
    response = conv.api.workshop.get_job(job_number.upper())
    if response.status_code == 404:
        return {"utterance": f"I can't find {job_number.upper()}. Is it the number at the top of your ticket?"}
    if not response.ok:
        conv.write_metric("WORKSHOP_API_FAILED", response.status_code)
        return {"utterance": "I can't see the workshop's list right now. Please try again in a few minutes."}
    job = response.json()
    conv.state.job_number = job["number"]
    if job["state"] == "ready":
        price = conv.functions.priced(job["parts"])
        return {"utterance": f"Good news: {job['number']} is ready. It comes to {price}."}
    return {"utterance": f"{job['number']} is still with us; we expect it to be ready on {job['ready_on']}."}
