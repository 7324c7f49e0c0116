"""What leaves for the contact centres and what comes back: outbox, inbox, health of destinations."""

from warmline.delivery.service import Delivery, DeliverySettings

__all__ = ["Delivery", "DeliverySettings"]
