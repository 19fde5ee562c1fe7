const http = require('http');

http.createServer((request, response) => response.end('hello from installs-at-start\n')).listen(process.env.PORT || 3000);
