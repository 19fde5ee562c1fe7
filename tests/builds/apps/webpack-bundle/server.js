const { readFileSync, readdirSync } = require('fs')
const bundle = readdirSync('dist').map((name) => readFileSync(`dist/${name}`, 'utf8')).join('\n')
require('http').createServer((_, answer) => answer.end(bundle)).listen(process.env.PORT)
