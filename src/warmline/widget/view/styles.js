/** How the widget looks. Pages may set the custom properties of `:host` on `#poly-ai-chat`. */

export const STYLES = `
:host {
  --warmline-font: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --warmline-radius: 18px;
  --warmline-surface: #fff; --warmline-bubble: #f1f3f7;
  --warmline-ink: #161b26; --warmline-ink-soft: #596275;
  --warmline-line: #e2e6ee; --warmline-danger: #b3261e;
  --warmline-notice: #fff6e0; --warmline-notice-ink: #6b4700;
  color-scheme: light dark;
}
@supports (color: light-dark(#000, #fff)) {
  :host {
    --warmline-surface: light-dark(#fff, #171a21); --warmline-bubble: light-dark(#f1f3f7, #262b36);
    --warmline-ink: light-dark(#161b26, #eef1f6); --warmline-ink-soft: light-dark(#596275, #a3adbf);
    --warmline-line: light-dark(#e2e6ee, #343b49); --warmline-danger: light-dark(#b3261e, #ff9d94);
    --warmline-notice: light-dark(#fff6e0, #3a2f14); --warmline-notice-ink: light-dark(#6b4700, #ffdf9e);
  }
}
.panel, .prompt { all: initial; color-scheme: inherit; font: 15px/1.45 var(--warmline-font); }
*, *::before, *::after { box-sizing: border-box; }
button { font: inherit; color: inherit; cursor: pointer; }
button:focus-visible, a:focus-visible, .log:focus-visible { outline: 2px solid var(--warmline-ink); outline-offset: 2px; }
.icon { width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; flex: none; }
.hidden-text { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { transition: transform .18s ease, box-shadow .18s ease; }
.launcher:hover { transform: translateY(-2px); box-shadow: 0 2px 4px rgb(15 23 42 / .18), 0 12px 30px rgb(15 23 42 / .26); }
.launcher:active { transform: scale(.96); }
:host(.open) .launcher > svg:first-child, :host(:not(.open)) .launcher > .icon { display: none; }
.badge { position: absolute; top: -2px; right: -2px; min-width: 20px; padding: 0 6px; border-radius: 10px; background: #c62828; color: #fff; font: 600 12px/20px var(--warmline-font); text-align: center; }

.prompt { position: absolute; bottom: 8px; right: calc(100% + 12px); display: flex; align-items: center; width: max-content; max-width: min(260px, calc(100vw - 120px)); padding-inline: 14px 4px; border-radius: 16px 16px 4px 16px; background: var(--warmline-surface); color: var(--warmline-ink); box-shadow: 0 2px 6px rgb(15 23 42 / .1), 0 10px 30px rgb(15 23 42 / .16); animation: rise .3s ease both; }
.prompt button { border: 0; background: none; padding: 11px 0; text-align: start; }
.prompt .prompt-close { padding: 8px; } .prompt-close .icon { width: 16px; height: 16px; display: block; }

.panel { position: absolute; right: 0; bottom: 76px; display: flex; flex-direction: column; width: 392px; height: min(var(--warmline-height, 660px), calc(100dvh - 120px)); overflow: hidden; border-radius: var(--warmline-radius); background: var(--warmline-surface); color: var(--warmline-ink); box-shadow: 0 0 0 1px rgb(15 23 42 / .05), 0 4px 12px rgb(15 23 42 / .08), 0 24px 60px rgb(15 23 42 / .2); transform-origin: bottom right; animation: open .24s cubic-bezier(.2, .9, .3, 1) both; }
@keyframes open { from { opacity: 0; transform: translateY(12px) scale(.96); } }
@keyframes rise { from { opacity: 0; transform: translateY(8px); } }

.head { position: relative; z-index: 2; display: flex; flex: none; align-items: center; gap: 12px; padding-block: 14px; padding-inline: 18px 10px; background: linear-gradient(120deg, var(--warmline-color), color-mix(in srgb, var(--warmline-color) 91%, #000)); color: var(--warmline-on-color); }
.head-face .avatar { width: 40px; height: 40px; font-size: 15px; color: var(--warmline-on-color); background: color-mix(in srgb, var(--warmline-on-color) 18%, transparent); }
.head-text { flex: 1; min-width: 0; }
.head-title { margin: 0; font-size: 16px; font-weight: 650; line-height: 1.3; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.head-subtitle { margin: 0; font-size: 13px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.head-subtitle:empty { display: none; }
.head-button { display: grid; place-items: center; width: 40px; height: 40px; padding: 0; border: 0; border-radius: 10px; background: none; }
.head-button:hover { background: color-mix(in srgb, var(--warmline-on-color) 14%, transparent); }
.head-button:focus-visible { outline-color: var(--warmline-on-color); outline-offset: -3px; }
.menu { position: absolute; top: calc(100% - 6px); inset-inline-end: 12px; display: grid; min-width: 190px; padding: 6px; border-radius: 12px; background: var(--warmline-surface); color: var(--warmline-ink); box-shadow: 0 0 0 1px var(--warmline-line), 0 12px 32px rgb(15 23 42 / .2); }
.menu-item { padding: 9px 12px; border: 0; border-radius: 8px; background: none; color: inherit; text-align: start; text-decoration: none; }
.menu-item:hover { background: var(--warmline-bubble); }

.banner { display: flex; flex: none; align-items: center; justify-content: center; gap: 12px; padding: 8px 16px; background: var(--warmline-notice); color: var(--warmline-notice-ink); font-size: 13px; text-align: center; }
.retry { padding: 0; border: 0; background: none; font-weight: 600; text-decoration: underline; text-underline-offset: 2px; }

.transcript { position: relative; flex: 1; min-height: 0; }
.log { height: 100%; padding: 18px 16px 12px; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
.log:focus-visible { outline-offset: -3px; }
.entries { display: flex; flex-direction: column; gap: 3px; margin: 0; padding: 0; list-style: none; }
.welcome { margin: 0 0 16px; color: var(--warmline-ink-soft); text-align: center; }
.latest { position: absolute; inset-inline-end: 16px; bottom: 10px; display: grid; place-items: center; width: 36px; height: 36px; padding: 0; border: 0; border-radius: 50%; background: var(--warmline-surface); box-shadow: 0 0 0 1px var(--warmline-line), 0 4px 12px rgb(15 23 42 / .16); }

.message { display: flex; align-items: flex-end; gap: 8px; max-width: 100%; }
.message.first:not(:first-child) { margin-top: 12px; }
.fresh { animation: rise .22s ease both; }
.mine { justify-content: flex-end; }
.face { flex: none; width: 28px; }
.last > .face { margin-bottom: 22px; }
.typing > .face { margin-bottom: 0; }
.avatar { display: grid; place-items: center; width: 28px; height: 28px; border-radius: 50%; overflow: hidden; font-size: 11px; font-weight: 650; letter-spacing: .02em; color: var(--warmline-on-color); background: var(--warmline-color); }
.avatar img { width: 100%; height: 100%; object-fit: cover; }
.avatar .icon { width: 60%; height: 60%; }
.face .live { color: var(--warmline-ink); background: color-mix(in srgb, var(--warmline-color) 16%, var(--warmline-bubble)); }
.body { display: flex; flex-direction: column; align-items: flex-start; gap: 4px; min-width: 0; max-width: min(82%, 520px); }
.mine .body { align-items: flex-end; }
.name { margin-inline-start: 4px; color: var(--warmline-ink-soft); font-size: 12.5px; font-weight: 550; }
.bubble { max-width: 100%; padding: 9px 14px; border-radius: 18px; background: var(--warmline-bubble); overflow-wrap: anywhere; }
.theirs.last .bubble { border-end-start-radius: 6px; }
.mine .bubble { background: var(--warmline-color); color: var(--warmline-on-color); white-space: pre-wrap; }
.mine.last .bubble { border-end-end-radius: 6px; }
.bubble > * { margin: 0; } .bubble > * + * { margin-top: 8px; }
.bubble ul, .bubble ol { padding-inline-start: 20px; } .bubble ul { list-style: disc; } .bubble li + li { margin-top: 3px; }
.bubble a { color: inherit; text-decoration: underline; text-underline-offset: 2px; }
.bubble code { padding: 1px 5px; border-radius: 5px; background: color-mix(in srgb, currentColor 10%, transparent); font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.bubble pre { padding: 10px 12px; border-radius: 10px; overflow-x: auto; background: color-mix(in srgb, currentColor 8%, transparent); }
.bubble pre code { padding: 0; background: none; }
time { white-space: nowrap; }
.meta { display: flex; gap: 8px; min-height: 18px; padding-inline: 4px; color: var(--warmline-ink-soft); font-size: 12px; }
.status { display: inline-flex; align-items: center; gap: 4px; }
.status .icon { width: 14px; height: 14px; }
.status.sending { animation: late .6s step-end both; }
@keyframes late { from { visibility: hidden; } }
.status.failed, .status.undelivered, .line.error { color: var(--warmline-danger); }

.card { display: block; width: 260px; max-width: 100%; overflow: hidden; border: 1px solid var(--warmline-line); border-radius: 14px; background: var(--warmline-surface); color: inherit; text-decoration: none; transition: border-color .15s; }
a.card:hover { border-color: var(--warmline-ink-soft); }
.preview { display: block; width: 100%; max-height: 200px; min-height: 60px; object-fit: cover; background: var(--warmline-bubble); }
.caption { display: grid; gap: 2px; padding: 10px 14px; }
.card-title { font-weight: 600; overflow-wrap: anywhere; }
.card-action { display: flex; align-items: center; gap: 6px; color: var(--warmline-ink-soft); font-size: 13px; }
.card-action .icon { width: 14px; height: 14px; }
.call, .suggestion { display: inline-flex; align-items: center; gap: 8px; padding: 8px 15px; border: 1px solid color-mix(in srgb, var(--warmline-color) 55%, var(--warmline-line)); border-radius: 20px; background: var(--warmline-surface); color: var(--warmline-ink); text-align: start; text-decoration: none; transition: background .15s; }
.call .icon { width: 16px; height: 16px; }
.call:hover, .suggestion:hover { background: color-mix(in srgb, var(--warmline-color) 9%, var(--warmline-surface)); }
.suggestions > div { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 8px; padding-top: 10px; padding-inline-start: 36px; }

.line { display: grid; justify-items: center; gap: 1px; padding: 5px 24px; color: var(--warmline-ink-soft); font-size: 13px; text-align: center; overflow-wrap: anywhere; }
.message + .line { margin-top: 8px; }
.line.current { color: var(--warmline-ink); }
.line.warning .line-text { padding: 6px 12px; border-radius: 10px; background: var(--warmline-notice); color: var(--warmline-notice-ink); }
.pulse { display: inline-block; width: 8px; height: 8px; margin-inline-end: 8px; border-radius: 50%; background: color-mix(in srgb, var(--warmline-color) 70%, var(--warmline-ink)); animation: pulse 1.6s ease-in-out infinite; }
@keyframes pulse { 50% { opacity: .25; transform: scale(.75); } }
.dots { display: flex; gap: 5px; padding: 15px 16px; }
.dots i { width: 7px; height: 7px; border-radius: 50%; background: var(--warmline-ink-soft); animation: dot 1.2s ease-in-out infinite; }
.dots i:nth-child(2) { animation-delay: .15s; } .dots i:nth-child(3) { animation-delay: .3s; }
@keyframes dot { 0%, 60%, 100% { opacity: .35; transform: none; } 30% { opacity: 1; transform: translateY(-3px); } }

.foot { flex: none; display: grid; gap: 8px; padding: 10px 12px max(12px, env(safe-area-inset-bottom)); border-top: 1px solid var(--warmline-line); }
.composer { display: grid; gap: 4px; }
.problem { margin: 0; padding-inline: 8px; color: var(--warmline-danger); font-size: 13px; } .problem:empty { display: none; }
.field { display: flex; align-items: flex-end; gap: 6px; padding: 4px; border: 1px solid color-mix(in srgb, var(--warmline-ink-soft) 75%, transparent); border-radius: 24px; background: var(--warmline-surface); }
.field:focus-within { border-color: var(--warmline-ink); box-shadow: 0 0 0 3px color-mix(in srgb, var(--warmline-color) 22%, transparent); }
.input { flex: 1; min-width: 0; max-height: 132px; padding-block: 8px; padding-inline: 12px 4px; border: 0; outline: 0; resize: none; background: none; color: inherit; font: 16px/1.4 var(--warmline-font); }
.input::placeholder { color: var(--warmline-ink-soft); opacity: 1; }
.send { display: grid; place-items: center; flex: none; width: 38px; height: 38px; padding: 0; border: 0; border-radius: 50%; background: var(--warmline-color); color: var(--warmline-on-color); transition: opacity .15s, transform .15s; }
.send:disabled { background: var(--warmline-bubble); color: var(--warmline-ink-soft); cursor: default; }
.attach { background: none; color: var(--warmline-ink-soft); } .attach:hover { background: var(--warmline-bubble); }
progress { width: 100%; accent-color: var(--warmline-color); }
.send:not(:disabled):active { transform: scale(.94); }
.question { margin: 2px 0; text-align: center; color: var(--warmline-ink-soft); }
.choices { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
.action { padding: 11px 16px; border: 0; border-radius: 12px; font-weight: 600; }
.action.primary { background: var(--warmline-color); color: var(--warmline-on-color); }
.action.quiet { background: var(--warmline-bubble); }
.disclaimer { margin: 0; padding-inline: 8px; color: var(--warmline-ink-soft); font-size: 12.5px; text-align: center; }
.disclaimer a { color: inherit; }

.panel.fullscreen { position: fixed; inset: 0; width: auto; height: 100dvh; border-radius: 0; box-shadow: none; animation: none; }
@media (max-width: 480px), (max-height: 420px) {
  .panel { position: fixed; inset: 0; width: auto; height: 100dvh; border-radius: 0; box-shadow: none; }
  :host(.open) .launcher { visibility: hidden; }
}
@media (min-width: 481px) { .panel.fullscreen .log > *, .panel.fullscreen .foot > * { width: min(100%, 760px); margin-inline: auto; } }
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation-duration: .01ms !important; animation-iteration-count: 1 !important; transition: none !important; } }
@media (forced-colors: active) { .bubble, .send, .action, .launcher, .head { border: 1px solid; } }
`;
