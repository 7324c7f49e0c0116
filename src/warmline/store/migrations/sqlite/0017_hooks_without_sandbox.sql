-- compatible from 1

-- Whether a receiver is told what happens in the sandbox, too. Those that are there have been until now.
ALTER TABLE event_receivers ADD COLUMN sandbox BOOLEAN NOT NULL DEFAULT false;
UPDATE event_receivers SET sandbox = true;
