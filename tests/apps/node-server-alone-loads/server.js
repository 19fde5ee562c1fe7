const http = require("node:http");
const express = require("express");

const app = express();
app.get("/", (request, response) => response.send("hello"));
http.createServer(app).listen(process.env.PORT);
