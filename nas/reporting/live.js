// Brings a page that is served while its search runs up to date, and keeps what its reader has done with it.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  let { version, seconds } = JSON.parse(byId("data").textContent).live;
  let latest = new Date();

  function said(text) {
    if (byId("live-trouble").textContent !== text) byId("live-trouble").textContent = text;
  }

  // Takes over the sections of the figures: new ones at their places, of the others what they say.
  function takeSections(fresh) {
    const place = byId("sections");
    const wanted = [...fresh.getElementById("sections").children];
    const ids = new Set(wanted.map((section) => section.id));
    for (const section of [...place.children]) if (!ids.has(section.id)) section.remove();
    wanted.forEach((section, index) => {
      const held = byId(section.id);
      if (held) held.querySelector("p").textContent = section.querySelector("p").textContent;
      else place.insertBefore(document.adoptNode(section), place.children[index] ?? null);
    });
  }

  function take(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const data = JSON.parse(fresh.getElementById("data").textContent);
    for (const place of document.querySelectorAll("[data-live]")) {
      const newer = fresh.getElementById(place.id);
      if (newer.textContent !== place.textContent) place.replaceWith(document.adoptNode(newer));
    }
    takeSections(fresh);
    fresh.querySelectorAll("#x-axis option").forEach((option, index) => {
      const held = byId("x-axis").options[index];
      [held.disabled, held.textContent] = [option.disabled, option.textContent];
    });
    document.dispatchEvent(new CustomEvent("fresh-report", { detail: data }));
    ({ version, seconds } = data.live);
  }

  async function look() {
    try {
      const answer = await fetch(`update?version=${version}`, { cache: "no-store" });
      const text = await answer.text();
      if (answer.status === 200) take(text);
      if (answer.ok) {
        latest = new Date();
        said("");
      } else said(`${text.trim()} Shown is what was there at ${latest.toLocaleTimeString()}.`);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      said(`Nobody serves this page any more: shown is what was there at ${latest.toLocaleTimeString()}.`);
    }
    setTimeout(look, 1000 * seconds);
  }
  setTimeout(look, 1000 * seconds);
})();
