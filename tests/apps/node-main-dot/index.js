require("node:http")
  .createServer((request, response) => response.end("hello by main"))
  .listen(process.env.PORT);
