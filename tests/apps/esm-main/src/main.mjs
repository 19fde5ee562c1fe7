import { createServer } from "node:http";
import { customAlphabet } from "nanoid";

const word = customAlphabet("a", 5);
createServer((request, response) => response.end(`hello from ${word()}`)).listen(process.env.PORT);
