import { Component, provideZonelessChangeDetection, signal } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'

@Component({ selector: 'app-root', template: '<h1>{{ said() }}</h1>' })
class App {
  readonly said = signal('hello from angular')
}

bootstrapApplication(App, { providers: [provideZonelessChangeDetection()] })
