// Small conveniences; every page works without them.

// Copies the text of the element that data-copy names.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  navigator.clipboard.writeText(source.value ?? source.textContent).then(() => {
    button.textContent = "Copied";
  });
});

// On a small screen the menus scroll sideways: where one is stands in sight.
for (const current of document.querySelectorAll("nav > [aria-current]")) {
  const menu = current.parentElement;
  menu.scrollLeft = current.offsetLeft - menu.offsetLeft - (menu.clientWidth - current.offsetWidth) / 2;
}

// A form is sent once, however often its button is pressed. A button with data-ask, which takes something away for
// good, asks first.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  const question = event.submitter?.dataset.ask;
  if (question && !event.target.dataset.sent && !confirm(question)) {
    event.preventDefault();
    return;
  }
  if (event.target.dataset.sent) {
    event.preventDefault();
    return;
  }
  if (event.target.matches("[hx-post]")) return;
  event.target.dataset.sent = "yes";
  // Later, because a disabled button would not send its name and value along.
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
});

// A page that comes back from the browser's history has its forms again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});

// A select that changes something sends its form; the button beside it serves where there is no script. Somebody who
// goes through the choices with the keyboard has chosen when they leave it or press Enter, not at the first arrow.
const isSelect = (element) => element.matches?.("select[data-submit]");
const send = (select) => {
  if (select.dataset.chosen) select.form.requestSubmit();
};
document.addEventListener("keydown", (event) => {
  if (!isSelect(event.target)) return;
  event.target.dataset.keyboard = "yes";
  if (event.key === "Enter") send(event.target);
});
document.addEventListener("pointerdown", (event) => {
  if (isSelect(event.target)) delete event.target.dataset.keyboard;
});
document.addEventListener("change", (event) => {
  if (!isSelect(event.target)) return;
  event.target.dataset.chosen = "yes";
  if (!event.target.dataset.keyboard) send(event.target);
});
document.addEventListener("focusout", (event) => {
  if (isSelect(event.target)) send(event.target);
});
for (const button of document.querySelectorAll("[data-without-script]")) button.hidden = true;

// Parts with data-refresh fetch themselves again and again. What is new is worked into what is there, instead of
// replacing it: the focus, what was unfolded, the selection and the place where one reads all stay.

// Makes the attributes of `old` those of `fresh`, but for what the reader has done to it.
function copyAttributes(old, fresh) {
  const kept = (name) => name === "open" && old.localName === "details";
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !kept(name)) old.setAttribute(name, value);
  }
}

function isSameNode(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id ?? "") === (fresh.id ?? "");
}

// Makes the children of `old` those of `fresh`, keeping every node that can stay; nodes with an id are found by it.
function morphChildren(old, fresh) {
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id && [...old.children].find((child) => isSameNode(child, wanted));
    if (known && known !== place) old.insertBefore(known, place);
    const found = known || (place && isSameNode(place, wanted) ? place : null);
    if (!found) {
      old.insertBefore(wanted, place);
      if (wanted.nodeType === Node.ELEMENT_NODE) htmx.process(wanted);
      continue;
    }
    place = found.nextSibling;
    if (found.nodeType !== Node.ELEMENT_NODE) {
      if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
    } else if (!found.isEqualNode(wanted)) {
      copyAttributes(found, wanted);
      morphChildren(found, wanted);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// What a part of the page has to say: its headline, and what is wrong. Said aloud only when it changes.
function readNews(part) {
  const news = [...part.querySelectorAll("[data-announce]")];
  return news.map((element) => element.textContent.replace(/\s+/g, " ").trim()).join(" ");
}

const unreachable = document.getElementById("unreachable");
const announcer = document.getElementById("announcer");

document.addEventListener("htmx:beforeRequest", (event) => {
  // Nobody looks: the next round asks again.
  if (document.hidden && event.target.matches("[data-refresh]")) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, pathInfo, isError, serverResponse } = event.detail;
  if (!target.matches("[data-refresh]") || isError) return;
  event.detail.shouldSwap = false;
  unreachable.hidden = true;
  // Signed out in the meantime: the answer is the sign-in page, which is no part of this one.
  if (xhr.responseURL && new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location).pathname) {
    location.reload();
    return;
  }
  const fresh = document.createElement("template");
  fresh.innerHTML = serverResponse;
  const before = readNews(target);
  const focused = document.activeElement;
  morphChildren(target, fresh.content);
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  const after = readNews(target);
  if (after !== before) announcer.textContent = after;
});

for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    if (event.target.matches?.("[data-refresh]")) unreachable.hidden = false;
  });
}
