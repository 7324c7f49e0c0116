"""What leaves for the contact centres and what comes back: outbox, inbox, health of destinations."""
