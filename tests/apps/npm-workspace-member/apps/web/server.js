const { answer } = require("@mono/util");

require("node:http").createServer((ask, reply) => reply.end(`util says ${answer}\n`)).listen(process.env.PORT);
