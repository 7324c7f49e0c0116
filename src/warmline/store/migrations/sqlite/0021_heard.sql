-- compatible from 1

-- When each path was last heard of, without reading all webhooks that are remembered.
CREATE INDEX inbox_heard ON inbox (connection_id, endpoint, received_at DESC);
