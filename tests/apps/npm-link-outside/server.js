require("node:http")
  .createServer((request, response) => response.end("booked"))
  .listen(process.env.PORT);
