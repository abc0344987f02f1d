// Draws the API's description with Swagger UI, which is vendored beside this file as its authors publish it.
'use strict';

// Swagger UI's dark colours hang on a class; the system says which are wanted.
const dark = matchMedia('(prefers-color-scheme: dark)');
const followSystem = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', followSystem);
followSystem();

SwaggerUIBundle({
  url: '../api/v1/openapi.yaml',
  domNode: document.getElementById('operations'),
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  docExpansion: 'list',
  filter: true,
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  // By default it has the description checked by a server of its makers.
  validatorUrl: null,
});
