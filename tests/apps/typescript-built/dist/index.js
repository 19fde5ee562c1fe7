"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
const http = require('http');

http.createServer((request, response) => response.end('hello from typescript-built\n')).listen(process.env.PORT || 3000);
