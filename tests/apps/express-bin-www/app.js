module.exports = (request, response) => response.end('hello from express-bin-www\n');
