require("node:http")
  .createServer((request, response) => response.end("hello without a manifest"))
  .listen(process.env.PORT);
