/** The REST part of the handshake, with the retries of messaging-protocol.md §2.3. */

const ATTEMPTS = 4;
const RETRY_SECONDS = 1;
const MAX_WAIT_SECONDS = 30;
const DEFAULT_WAIT_SECONDS = 5;

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** A request that failed for good. `status` is the HTTP status, 0 when the server was not reached. */
export class RestError extends Error {
  constructor(status) {
    super(`chat request failed with status ${status}`);
    this.status = status;
  }
}

async function attempt(url, options) {
  try {
    const response = await fetch(url, { ...options, credentials: "omit", signal: AbortSignal.timeout(15000) });
    const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
    const body = response.ok && response.status !== 204 ? await response.json() : null;
    return { status: response.status, body, retryAfter };
  } catch {
    return { status: 0 };
  }
}

export async function request(method, url, headers, body) {
  const options = {
    method,
    headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
    body: JSON.stringify(body),
  };
  for (let left = ATTEMPTS - 1; ; left -= 1) {
    const answer = await attempt(url, options);
    if (answer.status >= 200 && answer.status < 300) return answer.body ?? {};
    const final = answer.status >= 400 && answer.status < 500 && answer.status !== 429;
    if (final || left === 0) throw new RestError(answer.status);
    const wait = answer.status === 429 ? answer.retryAfter || DEFAULT_WAIT_SECONDS : RETRY_SECONDS;
    await sleep(Math.min(wait, MAX_WAIT_SECONDS));
  }
}

/**
 * Get a token and create a session.
 * @param {{base: string, token: string, host: string, platform: string, language: string}} options
 * @returns {Promise<{sessionId: string, accessToken: string}>}
 * @throws {RestError}
 */
export async function createSession({ base, token, host, platform, language }) {
  const access = await request("POST", `${base}/api/v1/access-token`, { "X-Token": token, "X-Host": host }, {});
  const session = await request(
    "POST",
    `${base}/api/v1/sessions`,
    { Authorization: `Bearer ${access.access_token}` },
    { platform, streaming_enabled: true, language },
  );
  if (!access.access_token || !session.session_id) throw new RestError(0);
  return { sessionId: session.session_id, accessToken: access.access_token };
}

/**
 * Ask why the socket was refused: a browser hides the handshake's status, so the same address is asked by GET.
 * @returns {Promise<boolean>} true when the server says that the session is gone (§3.1: 401, 404)
 */
export async function sessionIsGone(socketUrl) {
  const { status } = await attempt(socketUrl.replace(/^ws/, "http"), { method: "GET", cache: "no-store" });
  return status === 401 || status === 404;
}
