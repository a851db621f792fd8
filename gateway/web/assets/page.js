// Keeps the page fresh: when an event says that something changed, and once a
// minute anyhow, it fetches the page again and puts its main part in place. Takes
// what people say of a flag.
'use strict';
(() => {
  const atMostEvery = 5000, atLeastEvery = 60000;
  let stale = false, busy = false, fetched = Date.now(), connected = null;

  function showConnection() {
    const sign = document.getElementById('live');
    if (!sign || connected === null) return;
    sign.className = connected ? 'on' : 'off';
    sign.textContent = connected ? sign.dataset.live : sign.dataset.lost;
  }

  function put(text) {
    const fresh = new DOMParser().parseFromString(text, 'text/html').getElementById('main');
    if (!fresh) return;
    for (const open of document.querySelectorAll('details[open]')) {
      const same = fresh.querySelector('#' + CSS.escape(open.id));
      if (same) same.open = true;
    }
    document.getElementById('main').replaceWith(fresh);
    showConnection();
  }

  async function refresh() {
    const reading = document.getSelection() && !document.getSelection().isCollapsed; // somebody marks text
    const age = Date.now() - fetched;
    if (busy || reading || document.hidden || age < (stale ? atMostEvery : atLeastEvery)) return;
    busy = true;
    stale = false;
    try {
      const answer = await fetch(location.href, { cache: 'no-store' });
      if (answer.ok) put(await answer.text());
    } catch {
      stale = true; // the next round tries again
    }
    fetched = Date.now();
    busy = false;
  }

  function connect() {
    const events = new EventSource('/api/v1/events');
    const changed = () => { stale = true; };
    for (const name of ['session', 'flag', 'live']) events.addEventListener(name, changed);
    events.onopen = () => { if (connected === false) changed(); connected = true; showConnection(); };
    events.onerror = () => {
      connected = false;
      showConnection();
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, 30000); // refused: a browser gives up then
    };
  }

  // A verdict on a flag. What went wrong is said beside the button.
  async function judge(button) {
    const note = button.parentElement.querySelector('[role=status]');
    button.disabled = true;
    try {
      const answer = await fetch('/api/v1/flags/' + encodeURIComponent(button.dataset.flag) + '/verdict', {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ status: button.dataset.status }),
      });
      if (answer.ok) {
        stale = true;
        fetched = 0;
        refresh();
        return;
      }
      note.textContent = (await answer.json()).detail;
    } catch (error) {
      note.textContent = String(error);
    }
    button.disabled = false;
  }

  document.documentElement.classList.add('script');
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-status]');
    if (button) judge(button);
  });
  connect();
  setInterval(refresh, 1000);
  document.addEventListener('visibilitychange', refresh);
})();
