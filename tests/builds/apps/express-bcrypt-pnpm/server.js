// An add-on in a framework's app: Express answers whether bcrypt's own code knows a password again.
const express = require('express')
const bcrypt = require('bcrypt')

const app = express()
app.get('/', async (_, answer) => {
  const known = await bcrypt.compare('secret', await bcrypt.hash('secret', 4))
  answer.send(`known again: ${known}`)
})
app.listen(process.env.PORT)
