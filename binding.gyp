{
  'variables': {
    'unicorn_include%': '/usr/include',
    'unicorn_lib%': '/usr/lib',
  },
  'targets': [
    {
      'target_name': 'unicorn_engine',
      'sources': [
        'native/addon.cc',
        'native/context.cc',
        'native/counter.cc',
        'native/counting.cc',
        'native/dispatch.cc',
        'native/engine.cc',
        'native/errors.cc',
        'native/hooks.cc',
        'native/instruction_lengths.cc',
        'native/memory.cc',
        'native/names.cc',
        'native/registers.cc',
        'native/run.cc',
        'native/timer.cc',
      ],
      'include_dirs': [
        '<(unicorn_include)',
        'build/generated',
        'node_modules/node-addon-api',
        'node_modules/node-api-headers/include',
      ],
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_CPP_EXCEPTIONS'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti'],
      'cflags_cc': ['-std=c++17', '-O2', '-Wall', '-Wextra', '-Wno-unused-parameter', '-fvisibility=hidden'],
      'libraries': ['-L<(unicorn_lib)', '-lunicorn', '-Wl,-rpath,<(unicorn_lib)', '-lpthread'],
    },
  ],
}
