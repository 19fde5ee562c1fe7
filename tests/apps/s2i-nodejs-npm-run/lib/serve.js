const http = require("http");

http.createServer((request, response) => response.end("hello from s2i-nodejs-npm-run")).listen(process.env.PORT);
