require("node:http")
  .createServer((request, response) => response.end("hello without dependencies"))
  .listen(process.env.PORT);
