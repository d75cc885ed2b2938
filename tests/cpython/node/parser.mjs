// Prints all that eventsource-parser finds in a stream, as JSON, one a line, up to an event "end": node parser.mjs URL
import { createParser } from 'eventsource-parser';

const tell = (found) => process.stdout.write(JSON.stringify(found) + '\n');
const parser = createParser({
  onEvent({ event, data, id }) {
    tell({ event: event ?? 'message', data, id: id ?? '' });
    if (event === 'end') process.exit();
  },
  onRetry: (retry) => tell({ retry }),
  onComment: (comment) => tell({ comment }),
  onError: (error) => tell({ error: error.message }),
});
const response = await fetch(process.argv[2]);
const decoder = new TextDecoder();
for await (const part of response.body) parser.feed(decoder.decode(part, { stream: true }));
