import { createServer } from 'node:http';

createServer((request, response) => response.end('hello from nvmrc-lts\n')).listen(process.env.PORT ?? 3000);
