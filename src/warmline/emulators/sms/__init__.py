"""An emulated SMS carrier: its REST API, its signed webhooks, and phones to text from (messaging-protocol.md §17)."""

from warmline.emulators.sms.app import RunningSms, start
from warmline.emulators.sms.model import NumberSpec, PhoneSpec, SmsSettings

__all__ = ["NumberSpec", "PhoneSpec", "RunningSms", "SmsSettings", "demo_values", "start"]


def demo_values(settings: SmsSettings, url: str) -> dict[str, str]:
    """What an operator enters to connect to this emulator at `url`."""
    return {
        "account_sid": settings.account_sid,
        "auth_token": settings.auth_token,
        "numbers": ", ".join(spec.number for spec in settings.numbers),
        "api_base_url": url,
    }
