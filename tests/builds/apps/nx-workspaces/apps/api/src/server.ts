import { fileURLToPath } from 'node:url'
import pages from '@fastify/static'
import Fastify from 'fastify'
import { toKelvin } from 'units'

const app = Fastify()
const root = fileURLToPath(new URL('../../web/dist', import.meta.url))
await app.register(pages, { root })
app.get<{ Params: { celsius: string } }>('/api/kelvin/:celsius', async ({ params }) => ({
  kelvin: toKelvin(Number(params.celsius)),
}))
await app.listen({ host: '0.0.0.0', port: Number(process.env.PORT ?? 3000) })
