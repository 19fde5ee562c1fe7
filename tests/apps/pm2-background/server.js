const http = require('http');

http.createServer((request, response) => response.end('hello from pm2-background\n')).listen(process.env.PORT || 3000);
