import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode, Suspense } from 'react'
import { createRoot } from 'react-dom/client'
import { BrowserRouter, Route, Routes } from 'react-router'
import { areas } from './shell/areas'
import { Menu } from './shell/Menu'
import './shell/shell.css'

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={new QueryClient()}>
      <BrowserRouter>
        <Menu />
        <Suspense fallback="…">
          <Routes>
            {areas.map(({ name, Page }) => (
              <Route key={name} path={`/${name}`} element={<Page />} />
            ))}
          </Routes>
        </Suspense>
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
)
