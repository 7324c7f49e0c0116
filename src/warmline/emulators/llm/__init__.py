"""An emulated language model: the chat completions API that many servers speak, answering by script.

    llm = await start(load_script(Path("script.yaml")))
    ... llm.url + "/v1" is the base address for a client ...
    await llm.stop()

It listens on `/v1/chat/completions`, `/v1/models` and `/v1/moderations`, and on `/__sim/v1/…` (see `control`).
"""

from warmline.emulators.llm.app import RunningLlm, create_app, start
from warmline.emulators.llm.script import Script, ScriptError, load_script, read_script

__all__ = ["RunningLlm", "Script", "ScriptError", "create_app", "load_script", "read_script", "start"]
