// The sounds of the desktop, made with WebAudio: a ring for offers, a soft tick for messages.

let context = null;
let ringing = 0;

/** Browsers allow sound after a gesture only: call this in one. */
export function allowSound() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
}

function tone(frequency, start, length, volume) {
  const oscillator = context.createOscillator();
  const gain = context.createGain();
  oscillator.frequency.value = frequency;
  oscillator.connect(gain).connect(context.destination);
  const at = context.currentTime + start;
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(volume, at + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + length);
  oscillator.start(at);
  oscillator.stop(at + length);
}

function ring() {
  if (context?.state !== "running") return;
  [0, 0.22].forEach((start) => {
    tone(659, start, 0.35, 0.12);
    tone(880, start + 0.08, 0.4, 0.1);
  });
}

/** Ring every three seconds until called with false. */
export function setRinging(on) {
  if (on === Boolean(ringing)) return;
  clearInterval(ringing);
  ringing = on ? setInterval(ring, 3000) : 0;
  if (on) ring();
}

export function tick() {
  if (context?.state === "running") tone(740, 0, 0.15, 0.06);
}
