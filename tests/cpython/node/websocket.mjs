// A WebSocket client that does what its standard input says: node websocket.mjs URL OPTIONS
// Commands and events are JSON, one a line. Binary messages are objects with a string of hexadecimal digits.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const [url, optionsText] = process.argv.slice(2);
const { protocols, ...options } = JSON.parse(optionsText);
const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const socket = new WebSocket(url, protocols ?? [], options);

socket.on('open', () => tell({ protocol: socket.protocol, extensions: socket.extensions }));
socket.on('message', (data, isBinary) => tell(isBinary ? { hex: data.toString('hex') } : { text: data.toString() }));
socket.on('ping', (data) => tell({ ping: data.toString() }));
socket.on('pong', (data) => tell({ pong: data.toString() }));
socket.on('error', (error) => tell({ error: error.message }));
socket.on('unexpected-response', (request, response) => {
  tell({ refused: response.statusCode });
  process.exit();
});
socket.on('close', (code, reason) => {
  tell({ code, reason: reason.toString() });
  process.exit();
});

const decode = (data) => (typeof data === 'string' ? data : Buffer.from(data.hex, 'hex'));
const commands = {
  send: (parts) => parts.forEach((part, i) => socket.send(decode(part), { fin: i === parts.length - 1 })),
  ping: (data) => socket.ping(data),
  close: ([code, reason]) => socket.close(code, reason),
};
createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, argument] = JSON.parse(line);
  commands[name](argument);
});
