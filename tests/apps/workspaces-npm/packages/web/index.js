const http = require("node:http");
const { greet } = require("@site/greeting");

http.createServer((request, response) => response.end(greet("a workspace"))).listen(process.env.PORT);
