import 'reflect-metadata'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { AppModule } from './app.module'

NestFactory.create(AppModule, new FastifyAdapter()).then((app) => app.listen(process.env.PORT ?? 3000, '0.0.0.0'))
