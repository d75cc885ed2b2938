// Keeps the page up to date, and switches without loading it again. The page works without this, too.
//
// It asks every second, one request at a time: that is one connection, which the board may close between two requests
// when it is short of sockets. A stream of events would hold one for each page that is open.
const PERIOD = 1;  // seconds
const TIMEOUT = 5;  // seconds

const state = document.getElementById('state');
const list = document.querySelector('ul');
let last = Promise.resolve();  // the request that the next one waits for

async function send(path, options) {
  const response = await fetch(path, {signal: AbortSignal.timeout(TIMEOUT * 1000), ...options});
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function setState(text) {
  if (state.textContent === text) return;  // a screen reader would say it again
  state.textContent = text;
  list.className = text && 'stale';
}

/** Send a request when those before it are answered. Resolves to the answer, to nothing if there is none. */
function request(path, options) {
  last = last.then(() => send(path, options)).then(answer => {
    setState('');
    return answer;
  }, error => {
    console.info(path, error.message);
    setState('The board does not answer.');
  });
  return last;
}

function show({name, kind, on}) {
  const element = document.getElementById(`pin-${name}`);
  if (!element) return location.reload();  // the program has other pins now
  const text = on ? 'on' : 'off';
  if (element.textContent === text) return;
  element.textContent = text;
  if (kind === 'input') {
    element.className = text;
  } else {
    element.value = on ? 'off' : 'on';
    element.ariaChecked = on;
  }
}

async function refresh() {
  if (document.hidden) return;  // nobody sees it
  const answer = await request('api/pins');
  answer?.pins.forEach(show);
}

async function poll() {
  await refresh();
  setTimeout(poll, PERIOD * 1000);
}

for (const form of document.forms) {
  const button = form.querySelector('button');
  form.onsubmit = async event => {
    event.preventDefault();
    const options = {
      method: 'PUT', body: JSON.stringify({on: button.value === 'on'}), headers: {'Content-Type': 'application/json'}};
    const pin = await request(`api/${form.getAttribute('action')}`, options);
    if (pin) show(pin);
  };
}

poll();
document.addEventListener('visibilitychange', refresh);
