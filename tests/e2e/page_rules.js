// What every page owes everybody; returns a sentence for each thing that is missing. Runs inside the page.
() => {
  const broken = [];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const text = (element) =>
    (element?.textContent ?? "").trim() + [...(element?.querySelectorAll("img[alt]") ?? [])].map((image) => image.alt).join("");
  const sketch = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 120);
  const name = (element) =>
    (element.getAttribute("aria-label") ?? "").trim() ||
    (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => text(document.getElementById(id))).join("") ||
    element.title.trim();

  if (!document.documentElement.lang) broken.push("the page has no language");
  if (!document.title.trim()) broken.push("the page has no title");
  const headings = [...document.querySelectorAll("h1")].filter(shown);
  if (headings.length !== 1) broken.push(`the page has ${headings.length} h1`);

  for (const control of document.querySelectorAll("input, select, textarea")) {
    if (["hidden", "submit", "button", "image"].includes(control.type) || !shown(control)) continue;
    // Django's admin labels what is edited in a list by the head of its column alone.
    if (control.closest("#result_list")) continue;
    const labels = [...(control.labels ?? [])].map(text).join("");
    if (!labels && !name(control)) broken.push(`no label: ${sketch(control)}`);
  }
  for (const button of document.querySelectorAll("button, summary, [role=button], input[type=submit], a[href]")) {
    // Django's admin calls the choices of a filter what the rows hold, and that may be nothing.
    if (button.closest("#changelist-filter")) continue;
    if (shown(button) && !text(button) && !name(button) && !button.value) broken.push(`no name: ${sketch(button)}`);
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) broken.push(`no alt: ${sketch(image)}`);
  }
  for (const drawing of document.querySelectorAll("svg")) {
    const isLabelled = drawing.getAttribute("role") === "img" && drawing.getAttribute("aria-label");
    if (shown(drawing) && !isLabelled && !drawing.closest("[aria-hidden=true]")) broken.push(`no label: ${sketch(drawing)}`);
  }
  for (const progress of document.querySelectorAll("progress, meter")) {
    if (!name(progress) && ![...progress.labels].map(text).join("")) broken.push(`no label: ${sketch(progress)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) broken.push(`two elements are #${id}`);

  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) {
    const widest = [...document.querySelectorAll("body *")]
      .filter((element) => shown(element) && element.getBoundingClientRect().right > clientWidth + 0.5)
      .map(sketch)[0];
    broken.push(`at ${clientWidth} px the page is ${scrollWidth} px wide: ${widest}`);
  }
  return broken;
}
