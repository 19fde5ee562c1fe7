// An add-on of C++ at work: a datagram goes through a Unix socket, which Node.js itself has none of.
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const dgram = require('unix-dgram')

http
  .createServer((_, answer) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dgram-'))
    const receiver = dgram.createSocket('unix_dgram', (data) => {
      receiver.close()
      fs.rmSync(folder, { recursive: true })
      answer.end(`sent and received: ${data}`)
    })
    receiver.bind(path.join(folder, 's'))
    const sender = dgram.createSocket('unix_dgram')
    const data = Buffer.from('hello')
    sender.send(data, 0, data.length, path.join(folder, 's'))
  })
  .listen(process.env.PORT)
