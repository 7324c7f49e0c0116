// A form leaves its page only while the server can be reached by somebody who is signed in: what was written would be
// lost with the page.
const asked = new WeakSet();
const asking = new WeakSet();

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (form.method !== "post" || form.hasAttribute("hx-post") || asked.delete(form)) return;
  event.preventDefault();
  if (asking.has(form)) return;
  asking.add(form);
  const answer = await fetch("/studio/settings", { redirect: "manual", cache: "no-store" }).catch(() => null);
  asking.delete(form);
  if (!answer) {
    tell(trouble.dataset.unsaved);
  } else if (answer.type === "opaqueredirect") {
    tell(trouble.dataset.signedOut);
  } else {
    asked.add(form);
    form.requestSubmit(submitter);
  }
});
