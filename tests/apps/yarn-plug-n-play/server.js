const http = require('http');
const ms = require('ms');

http.createServer((request, response) => response.end(`a day has ${ms('1d')} ms\n`)).listen(process.env.PORT || 3000);
