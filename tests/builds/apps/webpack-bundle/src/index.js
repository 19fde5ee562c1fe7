import('./greeting').then(({ greeting }) => document.body.append(greeting))
