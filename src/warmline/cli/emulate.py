"""What `warmline emulate …` reads before it starts."""

from pathlib import Path

import msgspec

from warmline.domain.errors import ConfigError
from warmline.emulators.webex import SimSettings, changed


def webex_settings(file: Path | None, *, relaxed: bool, seed: int) -> SimSettings:
    """The emulated organization: the options, and over them what the file says.

    Raises: ConfigError, naming the file and what is wrong in it.
    """
    settings = SimSettings(relaxed=relaxed, seed=seed)
    if file is None:
        return settings
    try:
        return changed(settings, msgspec.json.decode(file.read_bytes(), type=dict))
    except OSError as error:
        raise ConfigError(str(file), error.strerror or "cannot be read") from None
    except msgspec.DecodeError as error:
        raise ConfigError(str(file), str(error)) from None
