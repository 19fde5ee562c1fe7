const { execFileSync } = require("child_process");

require("http")
  .createServer((_, out) => out.end(execFileSync("file", ["--brief", "--mime-type", "--", __filename])))
  .listen(process.env.PORT);
