// Keys, and decisions in a list without loading it again. Everything works without this file.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const rows = () => all(".row");
  const said = $("#said");
  const help = $("#help");
  let current = -1;
  let player = null;

  // A region that is filled before the page is read aloud says nothing, so it is filled again.
  function say(text) {
    said.textContent = "";
    setTimeout(() => { said.textContent = text; }, 30);
  }

  function go(place) {
    const list = rows();
    if (!list.length) return;
    current = Math.max(0, Math.min(place, list.length - 1));
    list.forEach((row, n) => row.classList.toggle("at", n === current));
    const name = $(".name", list[current]);
    name.focus({ preventScroll: true });
    list[current].scrollIntoView({ block: "nearest" });
  }

  function at() {
    const list = rows();
    const focused = document.activeElement && document.activeElement.closest(".row");
    if (focused) current = list.indexOf(focused);
    return list[current] || null;
  }

  async function post(action, form, submitter) {
    const body = new URLSearchParams(new FormData(form, submitter));
    const asked = fetch(action, { method: "POST", body, headers: { "x-row": "1" } });
    const answer = await asked.catch(() => null);
    if (!answer) {
      say("The server does not answer; is matt review still running?");
      return null;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) {
      say((($("main p", page) || page.body).textContent || "That did not work.").trim());
      return null;
    }
    return page;
  }

  // Puts a row that came in its place, tells what was done, and gives the row where it is listed.
  function take(page) {
    all("i[data-count]", page).forEach((n) => {
      const shown = $(`.tabs [data-count="${n.dataset.count}"]`);
      if (shown) shown.textContent = n.textContent;
    });
    say($("[data-said]", page).textContent);
    const row = $(".row", page);
    const old = row && document.getElementById(row.id);
    if (!old) return null;
    const there = rows().indexOf(old) === current;
    old.replaceWith(document.adoptNode(row));
    row.classList.toggle("at", there);
    if (there) $(".name", row).focus({ preventScroll: true });
    return row;
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const row = form.closest(".row");
    if (row && form.classList.contains("acts")) {
      event.preventDefault();
      const place = rows().indexOf(row);
      const answer = post(form.action, form, event.submitter);
      go(place + 1); // before it comes: the next key is for the next album
      const page = await answer;
      if (page) take(page);
      else go(place);
    } else if (form.id === "undo" && rows().length) {
      event.preventDefault();
      const page = await post(form.action, form, event.submitter);
      if (!page) return;
      const elsewhere = $(".row", page);
      const back = take(page);
      if (back) go(rows().indexOf(back));
      else if (elsewhere) {
        const key = elsewhere.id.replace("album-", "");
        const asked = new URLSearchParams({ show: form.elements.show.value, q: form.elements.q.value, at: key, undone: key });
        location.assign(`/?${asked}#${elsewhere.id}`);
      }
    }
  });

  function press(key) {
    if (!at()) go(0);
    const button = $(`[data-key="${key}"]`, at() || $("main"));
    if (button) button.click();
    else if (key === "m") say("It has no tag to keep.");
  }

  function change() {
    const field = $("#genre");
    if (field) field.focus();
    else press("c");
  }

  function stop(but) {
    all("audio").forEach((one) => { if (one !== but) one.pause(); });
    if (player && player !== but) player.pause();
  }

  function play() {
    const list = all("audio");
    const row = at();
    let chosen = list.find((one) => !one.paused) || list.find((one) => one.dataset.last) || list[0];
    const inside = document.activeElement && document.activeElement.closest(".tracks li");
    if (inside && $("audio", inside)) chosen = $("audio", inside);
    if (!chosen && row) {
      if (!player || player.dataset.row !== row.id) {
        if (player) player.pause();
        player = new Audio(row.dataset.play);
        player.dataset.row = row.id;
        player.addEventListener("error", () => say("This browser cannot play that file."));
      }
      chosen = player;
    }
    if (!chosen) return;
    if (chosen.paused) {
      chosen.play().then(
        () => { if (row) say(`Playing ${$(".name", row).textContent}`); },
        () => say("This browser cannot play that file."),
      );
    } else {
      chosen.pause();
    }
  }

  document.addEventListener("play", (event) => {
    stop(event.target);
    all("audio").forEach((one) => { delete one.dataset.last; });
    event.target.dataset.last = "1";
  }, true);

  function step(by) {
    if (rows().length) {
      const list = rows();
      at();
      const next = current + by;
      const link = $(`.pages a[rel="${by > 0 ? "next" : "prev"}"]`);
      if ((next < 0 || next >= list.length) && current >= 0 && link) location.assign(link.href);
      else go(next);
    } else {
      const link = $(by > 0 ? "#after" : "#before");
      if (link) link.click();
      else say(by > 0 ? "That was the last album." : "This is the first album.");
    }
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    a: () => press("a"),
    c: change,
    r: () => press("r"),
    m: () => press("m"),
    u: () => $("#undo button").click(),
    "/": () => { const field = $("#q"); if (field) field.select(); },
    "?": () => help.showModal(),
    " ": play,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
    const where = event.target;
    if (where.closest("input, textarea, select")) {
      if (event.key === "Escape") where.blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const does = keys[key];
    if (event.repeat && key !== "j" && key !== "k") return; // one press, one decision
    // A space presses the button, and plays the player, that has the focus.
    if (!does || (event.key === " " && where.closest("button, audio, dialog"))) return;
    event.preventDefault();
    does();
  });

  async function ask() {
    const link = $("#ask");
    if (!link) return;
    const why = $("#why");
    link.textContent = "Asking the model of each track\u2026";
    link.setAttribute("aria-busy", "true");
    const answer = await fetch(link.dataset.why).catch(() => null);
    if (!answer || !answer.ok) {
      why.textContent = "The model could not be asked.";
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    all("[id^=told-], #why", page).forEach((part) => {
      const place = document.getElementById(part.id);
      if (place) place.replaceChildren(...part.childNodes);
    });
  }

  // A picture that is damaged, seen by the browser alone, before this file or after it.
  function draw(picture) {
    if (picture.closest(".cover, .head") && !picture.src.includes("?")) picture.src += "?drawn=1";
  }
  all("img").filter((one) => one.complete && !one.naturalWidth).forEach(draw);
  document.addEventListener("error", (event) => {
    if (event.target.tagName === "IMG") draw(event.target);
  }, true);

  // What was done is told once, and not when the page is loaded again.
  const address = new URL(location.href);
  address.searchParams.delete("done");
  address.searchParams.delete("undone");
  history.replaceState(null, "", address);
  const tab = $(".tabs [aria-current]");
  if (tab) tab.parentElement.parentElement.scrollLeft = tab.offsetLeft - 16;
  $("#keys").hidden = false;
  $("#keys").addEventListener("click", () => help.showModal());
  if (said.textContent) say(said.textContent);
  ask();
  const hash = location.hash.startsWith("#album-") && document.getElementById(location.hash.slice(1));
  const found = hash ? rows().indexOf(hash) : -1;
  if (found >= 0) go(found);
})();
