/** What few visitors need, loaded when one does: verified context, sending files, saving the transcript, the sound. */

import { request } from "../transport/rest.js";

/** Store the page's verified context for the session (§12); the caller decides what a failure means. */
export function submitContext({ base, sessionId, accessToken }, contextToken) {
  const url = `${base}/api/v1/sessions/${encodeURIComponent(sessionId)}/context`;
  return request("PUT", url, { Authorization: `Bearer ${accessToken}` }, { token: contextToken });
}

/**
 * Send a file as a message of its own (an extension of the protocol).
 * @param {(share: number) => void} onProgress called with the part that is sent, 0 to 1
 * @returns {Promise<{status: number, message?: string}>} the HTTP status, 0 when the server was not reached
 */
export const uploadFile = ({ base, sessionId, accessToken }, localId, file, onProgress) =>
  new Promise((resolve) => {
    const call = new XMLHttpRequest();
    call.open("POST", `${base}/api/v1/sessions/${sessionId}/files?${new URLSearchParams({ name: file.name, local_id: localId })}`);
    call.setRequestHeader("Authorization", `Bearer ${accessToken}`);
    call.responseType = "json";
    call.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    call.onloadend = () => resolve({ status: call.status, message: call.response?.message });
    call.send(file);
  });

/**
 * The conversation as text, one entry after the other, in the visitor's language.
 * @param items the view model's messages and lines
 * @param {{texts, lineText: (item) => string, speakerName: (item) => string}} words how they are said
 */
export function transcriptText(items, { texts, lineText, speakerName }) {
  const when = new Intl.DateTimeFormat(texts.language, { dateStyle: "short", timeStyle: "short" });
  const entries = items.map((item) => {
    const at = item.at ? `[${when.format(item.at)}] ` : "";
    if (item.kind === "line") return `${at}* ${lineText(item)}`;
    const name = item.author === "user" ? texts.get("you") : speakerName(item);
    const files = (item.attachments ?? []).map(({ title, url }) => ["\n ", title || texts.get("attachment"), url].join(" ").trimEnd());
    return `${at}${name}: ${item.text.trim()}${files.join("")}`;
  });
  return `${entries.join("\n")}\n`;
}

/** Let the browser save the conversation as a text file. */
export function saveTranscript(items, words) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([transcriptText(items, words)], { type: "text/plain;charset=utf-8" }));
  link.download = "conversation.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

let audio = null;

/** Two short tones; where several tabs show the conversation, only one of them sounds. */
export function chime() {
  audio ??= new AudioContext();
  const play = () => {
    for (const [delay, pitch] of [[0, 660], [0.12, 880]]) {
      const begin = audio.currentTime + delay;
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.08, begin);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.25);
      tone.connect(volume).connect(audio.destination);
      tone.start(begin);
      tone.stop(begin + 0.25);
    }
    return new Promise((done) => setTimeout(done, 1000));
  };
  if (!navigator.locks) return play();
  return navigator.locks.request("warmline-sound", { ifAvailable: true }, (lock) => lock && play());
}
