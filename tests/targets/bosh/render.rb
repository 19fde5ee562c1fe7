# Renders a job's template as BOSH's director does: ERB with '-' trimming, p(NAME) for a property or its default.
# ruby render.rb TEMPLATE PROPERTIES.json
require 'erb'
require 'json'

class Evaluation
  def initialize(properties)
    @properties = properties
  end

  def p(name)
    raise "Can't find property '#{name}'" unless @properties.key?(name)

    @properties[name]
  end

  def render(template)
    ERB.new(template, trim_mode: '-').result(binding)
  end
end

print Evaluation.new(JSON.parse(File.read(ARGV[1]))).render(File.read(ARGV[0]))
