// Prints what EventSource receives, as JSON, one event a line, up to an event "end": node eventsource.mjs URL NAME...
import { EventSource } from 'eventsource';

const [url, ...names] = process.argv.slice(2);
const source = new EventSource(url);

for (const name of ['message', ...names, 'end']) {
  source.addEventListener(name, ({ type, data, lastEventId }) => {
    process.stdout.write(JSON.stringify({ event: type, data, id: lastEventId }) + '\n');
    if (type === 'end') {
      source.close();
      process.exit();
    }
  });
}
