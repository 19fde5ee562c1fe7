const http = require("http");

http.createServer((_, answer) => answer.end("hello from an old Node.js")).listen(process.env.PORT);
