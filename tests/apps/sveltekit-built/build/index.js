import { createServer } from 'node:http';

const { HOST: host = '0.0.0.0', PORT: port = 3000 } = process.env;
createServer((request, response) => response.end('hello from sveltekit-built\n')).listen({ host, port });
